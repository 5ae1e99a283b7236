"""Client, keyed patient hash and gaps of a consult, orders of a card, feedback, and the store's own key."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("consult", sa.Column("client", sa.String(255), nullable=False, server_default=""))
    op.add_column("consult", sa.Column("patient", sa.String(64), nullable=False, server_default=""))
    op.add_column("consult", sa.Column("unavailable", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("card", sa.Column("orders", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("card_uuid", sa.String(64), nullable=False),
        sa.Column("client", sa.String(255), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suggestions", sa.JSON, nullable=False),
        sa.Column("reason_system", sa.Text),
        sa.Column("reason_code", sa.Text),
        sa.Column("reason_display", sa.Text),
        sa.Column("comment", sa.Text),
    )
    op.create_index("ix_feedback_card_uuid", "feedback", ["card_uuid"])
    op.create_index("ix_feedback_received_at", "feedback", ["received_at"])
    op.create_table(
        "secret",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(128), nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("secret", "feedback"):
        op.drop_table(table)
    op.drop_column("card", "orders")
    for column in ("unavailable", "patient", "client"):
        op.drop_column("consult", column)
