"""What is learned from: data sets, their layouts, augmentation."""
