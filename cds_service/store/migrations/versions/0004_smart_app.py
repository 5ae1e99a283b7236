"""What a client says about the SMART app: the id it is known by, and the pages that may frame it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("client") as table:
        table.add_column(sa.Column("smart_client_id", sa.String(200), nullable=True))
        table.add_column(sa.Column("frame_origins", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("client") as table:
        table.drop_column("frame_origins")
        table.drop_column("smart_client_id")
