from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from shelfcast.evaluate.code_version import code_version


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHELFCAST_COMMIT", raising=False)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Returns a package in a clone with one commit."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("one = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    git(tmp_path, "tag", "--annotate", "v1", "--message", "a tag is not the commit")
    return package


def test_is_the_commit_of_the_sources(package: Path) -> None:
    assert code_version(package) == git(package, "rev-parse", "HEAD")


def test_marks_files_that_differ_from_the_commit(package: Path) -> None:
    (package / "__init__.py").write_text("one = 2\n")
    assert code_version(package) == f"{git(package, 'rev-parse', 'HEAD')}-dirty"


def test_the_variable_comes_first(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFCAST_COMMIT", "4101a47d0e2b")
    assert code_version(package) == "4101a47d0e2b"


def test_is_the_package_version_when_installed_inside_another_repository(package: Path) -> None:
    installed = package / "site-packages" / "shelfcast"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert code_version(installed) == f"version {version('shelfcast')}"


def test_is_the_package_version_without_git(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(package))
    assert code_version(package) == f"version {version('shelfcast')}"
