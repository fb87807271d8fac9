"""What the other folders may use of this one's stores."""

from broadsheet_publishing.fan_out.store import has_audience, whole_audience_sql

__all__ = ["has_audience", "whole_audience_sql"]
