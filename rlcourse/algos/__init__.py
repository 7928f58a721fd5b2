"""VPG and PPO: one file each, the equations visible in it."""
