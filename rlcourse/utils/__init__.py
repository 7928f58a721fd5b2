"""All that is not mathematics: environments, networks, MPI, logging, saving, plotting."""
