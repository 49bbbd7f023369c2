"""StyleGAN2-ADA in pure PyTorch: networks, augmentation, losses, training.

Papers, cited by their short names throughout:
    StyleGAN   Karras, Laine, Aila: A style-based generator architecture for GANs. CVPR 2019.
    StyleGAN2  Karras et al.: Analyzing and improving the image quality of StyleGAN. CVPR 2020.
    ADA        Karras et al.: Training generative adversarial networks with limited data. NeurIPS 2020.
    R1         Mescheder, Geiger, Nowozin: Which training methods for GANs do actually converge? ICML 2018.
"""
