"""Every test starts from the same random numbers and computes on one thread."""

import pytest
import torch


@pytest.fixture(autouse=True)
def same_conditions():
    torch.set_num_threads(1)
    torch.manual_seed(0)
