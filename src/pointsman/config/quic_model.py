"""How servers of a QUIC service make connection ids (draft-ietf-quic-load-balancers-21)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

__all__ = ["Quic", "QuicConfiguration", "ServerId"]

ServerId = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}){1,15}$")]
"""Bytes in hexadecimal."""


class QuicConfiguration(BaseModel, extra="forbid", frozen=True):
    id: Annotated[int, Field(ge=0, le=6)]
    """The first three bits of such an id."""
    server_id_bytes: Annotated[int, Field(ge=1, le=15)]
    nonce_bytes: Annotated[int, Field(ge=4, le=18)]
    key_file: str | None = None
    """32 hexadecimal digits, shared with the servers; relative to the site file. None: server ids
    stand in the connection ids for all to read."""


class Quic(BaseModel, extra="forbid", frozen=True):
    configurations: Annotated[list[QuicConfiguration], Field(min_length=1, max_length=7)]
