"""Write the images' locks anew from pyproject.toml, with uv: `python images/lock.py`.

torch, torchvision and what they bring of CUDA go to torch-cuda.lock, all else to requirements.lock;
torch-cpu.txt names the same versions for an index of CPU wheels. torch has the version that the Makefile
installs for the tests.
"""

from pathlib import Path
import re
import subprocess

IMAGES = Path(__file__).parent
TORCH = re.compile(r"(torch|torchvision|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==")
LEFT_OUT = re.compile(r"triton==")
"""Compiles kernels at run time, which nothing here does, and would be a fifth of the image."""


def main() -> None:
    """Resolve everything together and write the three files."""
    root = IMAGES.parent
    pins = re.findall(r"\b(?:torch|torchvision)==\S+", (root / "Makefile").read_text("utf-8"))
    command = [
        "uv",
        "pip",
        "compile",
        "--quiet",
        "pyproject.toml",
        "--constraints",
        "-",
    ]
    command += ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--generate-hashes"]
    command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    text = subprocess.run(  # noqa: S603 - uv, with our own arguments
        command, cwd=root, input="\n".join(pins), check=True, capture_output=True, text=True
    ).stdout
    packages = [
        package for package in re.split(r"(?m)^(?=\S)", text) if package and not LEFT_OUT.match(package)
    ]
    of_torch = [package for package in packages if TORCH.match(package)]
    (IMAGES / "torch-cuda.lock").write_text("".join(of_torch))
    (IMAGES / "requirements.lock").write_text("".join(p for p in packages if p not in of_torch))
    versions = [package.split()[0] for package in of_torch if package.startswith("torch")]
    (IMAGES / "torch-cpu.txt").write_text("".join(f"{version}+cpu\n" for version in versions))


if __name__ == "__main__":
    main()
