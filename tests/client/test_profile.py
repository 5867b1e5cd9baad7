"""Where the services are: what a profile file says, and how a missing part is told."""

import stat
from pathlib import Path

import pytest

from tools.client.profile import SERVICES, Profile, ProfileUnusable

ADDRESSES = {service: f"127.0.0.1:{50051 + number}" for number, service in enumerate(SERVICES)}


def a_profile(directory: Path) -> Profile:
    return Profile(
        addresses=ADDRESSES,
        ca_file=directory / "ca.pem",
        certificate_file=directory / "client.pem",
        private_key_file=directory / "client.key",
        token_files={"advisor": directory / "advisor"},
        verifier_key="log+1a2b3c4d+AXc=",
    )


def test_a_saved_profile_loads_as_the_same_and_is_for_its_owner_s_eyes_only(tmp_path):
    file = tmp_path / "profile.toml"

    a_profile(tmp_path).save(file)

    assert Profile.load(file) == a_profile(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_paths_are_relative_to_the_file(tmp_path):
    services = "\n".join(f'{name} = "{address}"' for name, address in ADDRESSES.items())
    file = tmp_path / "profile.toml"
    file.write_text(f'[services]\n{services}\n[tokens]\nadvisor = "tokens/advisor"\n')

    loaded = Profile.load(file)

    assert loaded.token_files["advisor"] == tmp_path / "tokens" / "advisor"
    assert loaded.ca_file is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no profile at"),
        ("[services", "is not TOML"),
        ('[services]\npolicy = "a:1"\n', "names no address for decision, execution, audit"),
    ],
)
def test_an_unusable_profile_is_told(tmp_path, content, says):
    file = tmp_path / "profile.toml"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ProfileUnusable, match=says):
        Profile.load(file)


def test_a_person_without_a_token_is_told_with_those_who_have_one(tmp_path):
    with pytest.raises(ProfileUnusable, match="no token for 'trader'; it has tokens for advisor"):
        a_profile(tmp_path).credentials("trader")
