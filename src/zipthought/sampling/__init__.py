"""Solutions of a model for the questions of a file: asked for, judged, kept, and paired (`zipthought sample`)."""
