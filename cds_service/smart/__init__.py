"""The SMART App Launch (version 2) of the story: the app's side of OAuth, and the chart it opens. Keeps nothing."""
