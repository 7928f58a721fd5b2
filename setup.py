import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "rlcourse" / "__init__.py").read_text(encoding="utf-8")
README = HERE / "README.md"

setup(
    name="rlcourse",
    version=re.search(r'^__version__ = "(.+)"$', INIT, re.MULTILINE).group(1),
    description="Deep reinforcement learning in PyTorch, to be run, read and done",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    author="the rlcourse authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["reinforcement learning", "deep learning", "pytorch", "ppo", "course"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["rlcourse", "rlcourse.*"]),
    package_data={"rlcourse": ["tuned.yaml"]},
    package_dir={"": "."},  # so that an editable install is a plain path, which editors understand
    python_requires=">=3.11",
    # The ranges that can work. The versions the tests run with are in constraints.txt.
    install_requires=[
        "torch>=2.10",  # earlier ones have holes in safe loading
        "gymnasium>=1.1",
        "numpy>=2.0",
        "mpi4py>=4.1",  # the first whose wheels work with any MPI
        "tensorboard>=2.21",  # earlier ones need pkg_resources, which setuptools has dropped
        "pyyaml>=6.0",
        "rich>=13.7",
        "matplotlib>=3.9",
    ],
    extras_require={
        "mpi": ["mpich>=5.0; sys_platform != 'win32'"],  # a whole MPI, for a machine that has none
        "box2d": ["gymnasium[box2d]"],
        "mujoco": ["gymnasium[mujoco]", "mujoco<5"],
        "render": ["gymnasium[classic-control]"],  # windows and GIFs of classic control
        "mp4": ["imageio[ffmpeg]>=2.31"],  # brings an ffmpeg of its own, 68 MB
        "dev": ["pytest>=8", "pytest-xdist", "ruff", "codespell", "pre-commit"],
        "bench": ["stable-baselines3>=2.9", "sbx-rl>=0.28"],  # for experiments/speed
        "docs": [  # node must be there too: it renders the mathematics while the pages are built
            "sphinx>=9",
            "myst-parser>=5",
            "furo",
            "sphinx-design",
            "sphinx-copybutton",
            "playwright",  # drives the Chromium of the system in the tests of the pages
        ],
    },
    entry_points={"console_scripts": ["rlcourse = rlcourse.run:main"]},
)
