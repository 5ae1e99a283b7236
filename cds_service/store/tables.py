"""Tables of the store (SQLAlchemy Core). The migrations create them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, DateTime, Float, ForeignKey, Integer, MetaData, String, Table, Text

metadata = MetaData()

consult = Table(
    "consult",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("answered_at", DateTime(timezone=True), nullable=False, index=True),
    Column("service", String(64), nullable=False),
    Column("hook", String(64), nullable=False),
    Column("scenario", String(64), nullable=False),
    Column("ratings", JSON, nullable=False),
    Column("rules", JSON, nullable=False),
    Column("knowledge_version", String(32), nullable=False),
    Column("knowledge_hash", String(32), nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("duration_ms", Float, nullable=False),
    Column("client", String(255), nullable=False, server_default=""),
    Column("patient", String(64), nullable=False, server_default=""),
    Column("unavailable", JSON, nullable=False, server_default="[]"),
)

card = Table(
    "card",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("consult_id", String(36), ForeignKey("consult.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("indicator", String(16), nullable=False),
    Column("rules", JSON, nullable=False),
    Column("suggestions", JSON, nullable=False),
    Column("orders", JSON, nullable=False, server_default="[]"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("card_uuid", String(64), nullable=False, index=True),
    Column("client", String(255), nullable=False),
    Column("service", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("outcome_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, index=True),
    Column("suggestions", JSON, nullable=False),
    Column("reason_system", Text),
    Column("reason_code", Text),
    Column("reason_display", Text),
    Column("comment", Text),
)
"""No foreign key to the card: a client may report on cards that this store does not know (any more)."""

secret = Table(
    "secret",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(128), nullable=False),
)

synthetic_patient = Table(
    "synthetic_patient",
    metadata,
    Column("slug", String(64), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("story", Text, nullable=False),
    Column("as_of", String(10), nullable=False),
    Column("hook", String(64), nullable=False),
    Column("bundle", JSON, nullable=False),
)

client = Table(
    "client",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("issuer", String(600), nullable=False, unique=True, index=True),
    Column("tenants", JSON, nullable=False),
    Column("services", JSON, nullable=False),
    Column("fhir_servers", JSON, nullable=False),
    Column("pama", String(16), nullable=False),
    Column("site_file", String(1000), nullable=True),
    Column("cors_origins", JSON, nullable=False),
    Column("rate_limit", String(32), nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("smart_client_id", String(200), nullable=True),
    Column("frame_origins", JSON, nullable=False, server_default="[]"),
)

client_jku = Table(
    "client_jku",
    metadata,
    Column("client_id", String(64), ForeignKey("client.id", ondelete="CASCADE"), primary_key=True),
    Column("url", String(1000), primary_key=True),
    Column("tried_at", DateTime(timezone=True), nullable=True),
    Column("fetched_at", DateTime(timezone=True), nullable=True),
)

client_key = Table(
    "client_key",
    metadata,
    Column("client_id", String(64), ForeignKey("client.id", ondelete="CASCADE"), primary_key=True),
    Column("source", String(1000), primary_key=True),
    Column("kid", String(256), primary_key=True),
    Column("jwk", JSON, nullable=False),
)

used_token = Table(
    "used_token",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)
