"""All that is not mathematics: environments, networks, optimisers, MPI, logging, saving, plotting."""
