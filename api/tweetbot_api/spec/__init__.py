"""What a user writes in a TweetBot: the single source of the CRD's schema, its defaults and its messages.

The docstring under a field becomes its description in `kubectl explain`. Defaults that belong to the platform (S3,
W&B, base model, resources) are absent here: the operator's settings fill them in and they never land in the spec.
"""
