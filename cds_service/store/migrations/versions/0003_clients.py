"""Registered clients, the addresses of their keys, their keys, and tokens already used."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "client",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("issuer", sa.String(600), nullable=False),
        sa.Column("tenants", sa.JSON, nullable=False),
        sa.Column("services", sa.JSON, nullable=False),
        sa.Column("fhir_servers", sa.JSON, nullable=False),
        sa.Column("pama", sa.String(16), nullable=False),
        sa.Column("site_file", sa.String(1000), nullable=True),
        sa.Column("cors_origins", sa.JSON, nullable=False),
        sa.Column("rate_limit", sa.String(32), nullable=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
    )
    op.create_index("ix_client_issuer", "client", ["issuer"], unique=True)
    op.create_table(
        "client_jku",
        sa.Column("client_id", sa.String(64), sa.ForeignKey("client.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("url", sa.String(1000), primary_key=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_table(
        "client_key",
        sa.Column("client_id", sa.String(64), sa.ForeignKey("client.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("source", sa.String(1000), primary_key=True),
        sa.Column("kid", sa.String(256), primary_key=True),
        sa.Column("jwk", sa.JSON, nullable=False),
    )
    op.create_table(
        "used_token",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_used_token_expires_at", "used_token", ["expires_at"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("used_token", "client_key", "client_jku", "client"):
        op.drop_table(table)
