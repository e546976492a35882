"""`make gpu`: measures this machine's device and disk, and writes a record and a profile.

  python -m runtime.bench.gpu --out out/gpu.json             # a GPU, within 8 minutes
  python -m runtime.bench.gpu --device cpu --scale rehearsal --out out/rehearsal.json

It needs Python, torch and numpy, no network and no installed hotbed. Run again with the same --out
it goes on with the stages that are missing. Next to the record it writes the measured loads, for
`hotbed calibrate loads`, and a profile that a scenario can name by its path.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from runtime.bench.gpu.measuring import Bench
from runtime.bench.gpu.profile import profile_of, read_base
from runtime.bench.gpu.record import Record
from runtime.bench.gpu.results import measurements_of, write_json
from runtime.bench.gpu.scales import FULL, SCALES
from runtime.bench.gpu.stages import run_stages
from runtime.bench.load.machine import machine
from runtime.bench.measurements import write
from runtime.store.errors import StoreError

BASES = Path(__file__).parents[3] / "sim" / "profiles"


def main(words: list[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    try:
        return _measure(asked)
    except (StoreError, OSError) as error:
        print(f"make gpu: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m runtime.bench.gpu",
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="the record, a JSON file")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--scale", choices=SCALES, default=FULL.name, help="how much is measured")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure (default: here)")
    parser.add_argument("--limit-s", type=float, default=450.0, help="begin nothing after this")
    parser.add_argument("--base", type=Path, help="profile for what is not measured")
    return parser


def _measure(asked: argparse.Namespace) -> int:
    device = _device(asked.device)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".gpu-", dir=asked.dir or asked.out.parent) as scratch:
        folder = Path(scratch)
        here = machine(folder)
        about = {"device": asked.device, "scale": asked.scale, "machine": asdict(here)}
        record = Record.begin(asked.out, about)
        bench = Bench(device, folder, SCALES[asked.scale])
        complete = run_stages(bench.stages(), record, limit_s=asked.limit_s, say=_say)
    base = asked.base or BASES / ("cpu.json" if device.type == "cpu" else "h100.json")
    loads, profile = (asked.out.with_suffix(f".{name}.json") for name in ("loads", "profile"))
    write(measurements_of(record, here), loads)
    command = f"python -m runtime.bench.gpu --device {asked.device} --scale {asked.scale}"
    write_json(profile_of(record, here, read_base(base), command), profile)
    _say(f"{asked.out}, {loads}, {profile}")
    return 0 if complete else 1


def _device(name: str) -> torch.device:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise StoreError(f"--device {name}: torch {torch.__version__} sees no CUDA device here")
    try:
        return torch.device(name)
    except RuntimeError:
        raise StoreError(f"--device {name}: expected cuda, cuda:N or cpu") from None


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
