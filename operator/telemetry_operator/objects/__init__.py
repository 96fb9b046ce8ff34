"""From the model to Kubernetes objects, one file a kind. Pure: values in, objects out."""
