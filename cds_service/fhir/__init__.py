"""Moving resources: knows prefetch, search and paging, not medicine."""
