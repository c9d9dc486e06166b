"""Packaging of dextr-vos; the tools' settings stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "dextr_vos" / "__init__.py").read_text())[1]

setup(
    name="dextr-vos",
    version=VERSION,
    description="Clicks on a few frames in, masks of every frame out: DEXTR and OSVOS as one toolkit",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The dextr-vos authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="video object segmentation, DEXTR, OSVOS, DAVIS, annotation",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    packages=find_packages(include=["dextr_vos", "dextr_vos.*"]),
    package_data={
        "dextr_vos": ["py.typed", "weights/*.safetensors", "benchmark/report/*.yaml", "web/static/*"]
    },
    python_requires=">=3.11",
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.26",
        # the same module as opencv-python, but it imports on a machine without libGL
        "opencv-python-headless>=4.9",
        "scipy>=1.11",
        "imageio>=2.34",
        "av>=12",
        "pillow>=10.3",
        "click>=8.1",
        "rich>=13.7",
        "rich-click>=1.8",
        "pydantic>=2.7",
        "ruamel.yaml>=0.18",
        "safetensors>=0.4.3",
        "filelock>=3.12",
        "accelerate>=1.0",
        "pycocotools>=2.0.7",
        "fastapi>=0.115",
        "uvicorn>=0.30",
    ],
    extras_require={
        "tensorboard": ["tensorboard>=2.16"],
        "dask": ["distributed>=2024.5"],
        "dev": [
            "distributed>=2024.5",
            "pytest>=8",
            "pytest-xdist>=3.5",
            "ruff>=0.6",
            "mypy>=1.11",
            "hypothesis>=6.100",
            "httpx>=0.27",
            "playwright>=1.45",
        ],
    },
    entry_points={"console_scripts": ["dextr-vos = dextr_vos.cli.main:main"]},
)
