"""What can be set for the ML worker."""

import os
from pathlib import Path

from pydantic import ByteSize, Field

from gallery.ml_worker.sessions import RuntimeName
from gallery.runtime.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[5]
"""The workspace, of which this file is a part when it was not installed from a wheel."""


class MlWorkerSettings(Settings):
    """Packs, and limits of decoding."""

    data: Path = Field(
        default=Path("~/.local/share/smart-gallery"),
        title="Data folder",
        description="Weights of packs are also looked for in its folder packs.",
    )
    packs_descriptions: Path = Field(
        default=CHECKOUT / "packs",
        title="Pack files",
        description="Folder of the TOML files that describe packs.",
    )
    packs_path: str = Field(
        default="",
        title="Folders of weights",
        description="Folders in which the weights of packs are looked for first, separated like PATH.",
    )
    face_pack: str = Field(
        default="auto",
        title="Face pack",
        description="Name of the pack that finds and compares faces; auto takes the best permissive one that is there.",
    )
    tag_pack: str = Field(
        default="auto",
        title="Tag pack",
        description="Name of the pack that says what photos show; auto takes a permissive one that is there, or none.",
    )
    accept_licences: str = Field(
        default="",
        title="Accepted licences",
        description="Licence classes of packs that you accept beside permissive ones, by commas: non-commercial.",
    )
    decoders: int = Field(
        default=max(1, min(4, os.cpu_count() or 1)),
        ge=1,
        title="Decoders",
        description="Child processes that decode photos at the same time; one a core is right.",
        json_schema_extra={"unit": "processes"},
    )
    runtime: RuntimeName = Field(
        default=RuntimeName.AUTO,
        title="Runtime",
        description="What networks run on: onnxruntime, openvino, cuda or tensorrt; auto takes the fastest there is.",
    )
    model_threads: int = Field(
        default=max(1, min(4, os.cpu_count() or 1)),
        ge=1,
        title="Model threads",
        description="Threads in which models look at photos, each with a batch of its own; one a core is right.",
        json_schema_extra={"unit": "threads"},
    )
    max_pixels: int = Field(
        default=200_000_000,
        gt=0,
        title="Pixel budget",
        description="Pictures of more pixels are rejected before they are decoded.",
        json_schema_extra={"unit": "pixels"},
    )
    decode_memory: ByteSize = Field(
        default=ByteSize(512 << 20),
        gt=0,
        title="Memory of a decoder",
        description="What decoding one file may use. Bytes; suffixes such as 512MiB are understood.",
    )

    @property
    def weights(self) -> tuple[Path, ...]:
        """Folders to look for weights in, the first first."""
        given = [Path(folder).expanduser() for folder in self.packs_path.split(os.pathsep) if folder]
        return (*given, self.data.expanduser() / "packs")

    @property
    def accepted(self) -> frozenset[str]:
        """Licence classes that were accepted."""
        return frozenset(part.strip() for part in self.accept_licences.split(",") if part.strip())
