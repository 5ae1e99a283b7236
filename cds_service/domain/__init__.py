"""Words, no verbs: vocabularies, facts, findings and units. Imports nothing else of ours."""
