"""Reading data: files of images to arrays or decoded batches, caches, checks of what lies in a folder.

May import only the files beside it (files, cuda_graphs, ...). Imported by `workers.datasets` and all above it.
"""
