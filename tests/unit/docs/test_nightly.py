"""The script of `docs/how-to/nightly-folder.md` continues where a power cut ended it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.docs.pages import marked
from tests.unit.power.rigs.rig import program


def test_it_makes_each_clip_once_and_leaves_all(tmp_path: Path) -> None:
    """After a stop in the second clip, the next attempt makes only the missing one and has both in a new folder."""
    for name in ("bin", "clips", "saved", "first", "second"):
        (tmp_path / name).mkdir()
    for clip in ("a.mov", "b.mov", "old.mov"):
        (tmp_path / "clips" / clip).write_text(clip)
    os.utime(tmp_path / "clips/old.mov", (0, 0))
    script = tmp_path / "bin/shrink-clips"
    (text,) = marked("docs/how-to/nightly-folder.md", "shrink-clips")
    script.write_text(text)
    script.chmod(0o755)
    calls = tmp_path / "calls"
    fails = tmp_path / "fails"
    program(
        tmp_path / "bin/ffmpeg",
        f"echo x >>{calls}\n"
        f'[ "$(wc -l <{calls})" = 2 ] && [ -e {fails} ] && exit 255\n'
        'for last; do :; done; echo made >"$last"',
    )
    fails.touch()

    def run(folder: str) -> int:
        env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "EDGE_CHECKPOINT": str(tmp_path / "saved")}
        return subprocess.run([script, tmp_path / "clips", "1"], cwd=tmp_path / folder, env=env, check=False).returncode

    assert run("first") != 0
    fails.unlink()
    assert run("second") == 0
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == ["a.mp4", "b.mp4", "clips.txt"]
    assert len(calls.read_text().splitlines()) == 3
