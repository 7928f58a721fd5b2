"""VPG, PPO, DDPG, TD3 and SAC: one file each, the equations visible in it."""
