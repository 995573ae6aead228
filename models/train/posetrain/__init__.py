"""Trains the models that bevy_pose_capture ships: `python -m posetrain RECIPE.toml`."""
