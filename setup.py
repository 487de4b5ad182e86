"""What pyproject.toml cannot say: the claims and the verdicts on record travel in the wheel, by names of this package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["bthcheck*"]), "bthcheck.paper", "bthcheck.paper.extensions", "bthcheck.record"],
    package_dir={
        "bthcheck.paper": "claims",
        "bthcheck.paper.extensions": "claims/extensions",
        "bthcheck.record": "reports",
    },
)
