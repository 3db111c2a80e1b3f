"""What can be set for the gateway."""

from pydantic import ByteSize, Field, SecretStr

from gallery.runtime.settings import Settings


class GatewaySettings(Settings):
    """What the gate lets in."""

    hosts: str = Field(
        default="localhost, 127.0.0.1, ::1",
        title="Host names",
        description="Names by which the gallery may be addressed, separated by commas; * allows every one. "
        "Others are refused, so that a web page cannot reach it under a name of its own.",
    )
    owner_token: SecretStr | None = Field(
        default=None,
        title="Owner's token",
        description="Opens the gate; several gateways share it. Without it one is made and kept in the data folder.",
    )
    largest_question: ByteSize = Field(
        default=ByteSize(2**20),
        gt=0,
        title="Largest question",
        description="Bodies of requests above this are refused, uploads aside, which have their own limit per file.",
        json_schema_extra={"unit": "bytes"},
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        title="Token for metrics",
        description="Lets other machines read /metrics, sent as Authorization: Bearer; it opens nothing else.",
    )
