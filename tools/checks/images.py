"""Does each service's Dockerfile say what the one recipe says?

Builders want a file for each image; four files written by hand would drift apart. So they are written from
`deploy/image/recipe.Dockerfile`, committed, and compared here.

    python -m tools.checks.images            check
    python -m tools.checks.images --write    write them again
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "image"
RECIPE = "recipe.Dockerfile"
SERVICES = ("policy", "decision", "execution", "audit")


def dockerfile(recipe: str, service: str) -> str:
    """Return the Dockerfile of a service; the recipe's first paragraph, about itself, becomes a note where it is."""
    _, _, rest = recipe.partition("#\n")
    return f"# Written from {RECIPE} by `python -m tools.checks.images --write`; change that.\n#\n{rest}".replace(
        "{service}", service
    )


def problems(images: Path, *, write: bool = False) -> list[str]:
    """Return which Dockerfiles under `images` are not what the recipe says; with `write`, make them so first."""
    recipe = (images / RECIPE).read_text()
    found = []
    for service in SERVICES:
        file = images / f"{service}.Dockerfile"
        if write:
            file.write_text(dockerfile(recipe, service))
        if not file.exists() or file.read_text() != dockerfile(recipe, service):
            found.append(f"{file} is not what {RECIPE} says: python -m tools.checks.images --write")
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
