"""What each stage can be told and what a person configures, typed and checked."""
