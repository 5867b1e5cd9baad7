"""Does each service's Dockerfile say what the one recipe says?

Builders want a file for each image; four files written by hand would drift apart. So they are written from
`deploy/image/recipe.Dockerfile`, committed, and compared here. So is what an installed package says about itself, its
version and its entry points: plans name the first, plug-ins are found by the second, and an image installs no package.

    python -m tools.checks.images            check
    python -m tools.checks.images --write    write them again
"""

import argparse
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "image"
RECIPE = "recipe.Dockerfile"
INSTALLED = "evenkeel.dist-info"
SERVICES = ("policy", "decision", "execution", "audit")


def dockerfile(recipe: str, service: str) -> str:
    """Return the Dockerfile of a service; the recipe's first paragraph, about itself, becomes a note where it is."""
    _, _, rest = recipe.partition("#\n")
    return f"# Written from {RECIPE} by `python -m tools.checks.images --write`; change that.\n#\n{rest}".replace(
        "{service}", service
    )


def installed(project: Mapping[str, Any]) -> dict[str, str]:
    """Return the files by which `importlib.metadata` knows the project, by name, from its table in pyproject.toml."""
    groups = sorted({**project.get("entry-points", {}), "console_scripts": project.get("scripts", {})}.items())
    points = "\n".join(
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in named.items()) for group, named in groups
    )
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    return {f"{INSTALLED}/METADATA": metadata, f"{INSTALLED}/entry_points.txt": points}


def problems(images: Path, *, write: bool = False) -> list[str]:
    """Return which files under `images` are not what they must be; with `write`, make them so first."""
    recipe = (images / RECIPE).read_text()
    wanted = {f"{service}.Dockerfile": dockerfile(recipe, service) for service in SERVICES}
    wanted |= installed(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    found = []
    for name, content in wanted.items():
        file = images / name
        if write:
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
        if not file.exists() or file.read_text() != content:
            found.append(f"{file} is not what {RECIPE} and pyproject.toml say: python -m tools.checks.images --write")
    others = sorted(images.glob("*.Dockerfile"))
    known = {RECIPE, *(f"{service}.Dockerfile" for service in SERVICES)}
    return found + [f"{file} belongs to no service" for file in others if file.name not in known]


def main() -> None:
    """Check every Dockerfile, and end with code 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="Write and check the services' Dockerfiles.")
    parser.add_argument("--write", action="store_true", help="write them from the recipe")
    found = problems(IMAGES, write=parser.parse_args().write)
    sys.stderr.write("".join(f"{problem}\n" for problem in found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
