"""Data files that come inside an installed package, found without importing the package."""

from importlib.util import find_spec
from pathlib import Path


def package_file(package: str, name: str, distribution: str) -> Path:
    """Path of a file inside an installed package.

    Args:
        package: Import name, e.g. "sklearn".
        name: Path inside the package, with forward slashes.
        distribution: Name to install it by, e.g. "scikit-learn".

    Returns:
        The path.

    Raises:
        FileNotFoundError: If the package or the file is missing.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{distribution} is not installed, which brings {name}: pip install {distribution}")
    path = Path(next(iter(spec.submodule_search_locations)), name)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: install {distribution} again")
    return path
