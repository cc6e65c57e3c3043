"""What is compared: one way of training in each file, found by its class name (config key ``trainer``)."""
