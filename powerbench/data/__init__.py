"""Images and features on their way into a network: transforms, samplers, batches, the feature cache."""
