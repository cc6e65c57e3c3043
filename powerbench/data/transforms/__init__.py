"""Image transforms that torchvision lacks, one a file. Each maps an image (PIL or tensor) to an image."""
