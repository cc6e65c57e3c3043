"""The small BN-Inception set-up that several benchmarks share: random weights, 64 px, Emoji200."""

OVERRIDES = {
    "models~OVERRIDE~": "{trunk: {bninception: {pretrained: null}}, embedder: {MLP: {layer_sizes: [128]}}}",
    "transforms~OVERRIDE~": "{train: {Resize: {size: 72}, RandomResizedCrop: {scale: [0.16, 1], ratio: [0.75, 1.33], "
    "size: 64}, RandomHorizontalFlip: {p: 0.5}}, eval: {Resize: {size: 72}, CenterCrop: {size: 64}}}",
}
