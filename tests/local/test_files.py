"""Files with secrets are private from their first byte, and readers never see half of one."""

import stat

from tools.local import files


def test_a_file_is_private_and_so_is_its_replacement(tmp_path):
    path = tmp_path / "secrets" / "key"
    for content in (b"first", b"second"):
        files.write(path, content)

        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reader_that_opened_the_old_file_reads_all_of_it(tmp_path):
    path = tmp_path / "key"
    files.write(path, b"first")

    with path.open("rb") as reader:
        files.write(path, b"second, and longer")

        assert reader.read() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
