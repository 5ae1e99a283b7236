"""One patient's story: what the chart, as read, and its assessment say, put in the order in which people ask.

Nothing is decided here and nothing is read twice: events and sizes come from the reading of the chart, conclusions from
the assessment, and sentences from the cards. Pages lay it out.
"""
