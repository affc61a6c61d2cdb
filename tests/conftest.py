from hypothesis import settings

# A busy machine is slow, not wrong; and a failure must come back when it is looked for.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
