//! Tables of name patterns (LDM's, diffusers') for the layers of autoencoder, CLIP and ControlNet.

/// The autoencoder's encoder and decoder; [`LdmNames`](super::ldm::LdmNames) reverses the numbers of `up`.
pub(super) const VAE: [(&str, &str); 14] = [
    ("conv_in.*", "conv_in.*"),
    ("conv_out.*", "conv_out.*"),
    ("norm_out.*", "conv_norm_out.*"),
    ("down.#.block.#.*", "down_blocks.#.resnets.#.*"),
    ("down.#.downsample.conv.*", "down_blocks.#.downsamplers.0.conv.*"),
    ("up.#.block.#.*", "up_blocks.#.resnets.#.*"),
    ("up.#.upsample.conv.*", "up_blocks.#.upsamplers.0.conv.*"),
    ("mid.block_1.*", "mid_block.resnets.0.*"),
    ("mid.block_2.*", "mid_block.resnets.1.*"),
    ("mid.attn_1.norm.*", "mid_block.attentions.0.group_norm.*"),
    ("mid.attn_1.q.*", "mid_block.attentions.0.to_q.*"),
    ("mid.attn_1.k.*", "mid_block.attentions.0.to_k.*"),
    ("mid.attn_1.v.*", "mid_block.attentions.0.to_v.*"),
    ("mid.attn_1.proj_out.*", "mid_block.attentions.0.to_out.0.*"),
];

/// CLIP, in OpenCLIP's or transformers' names. `in_proj` has the rows of queries, keys and values.
pub(super) const TEXT: [(&str, &str); 18] = [
    ("token_embedding.weight", "embeddings.token_embedding.weight"),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("ln_final.*", "final_layer_norm.*"),
    ("transformer.resblocks.#.ln_1.*", "encoder.layers.#.layer_norm1.*"),
    ("transformer.resblocks.#.ln_2.*", "encoder.layers.#.layer_norm2.*"),
    ("transformer.resblocks.#.attn.in_proj_weight", "encoder.layers.#.self_attn.in_proj.weight"),
    ("transformer.resblocks.#.attn.in_proj_bias", "encoder.layers.#.self_attn.in_proj.bias"),
    ("transformer.resblocks.#.attn.out_proj.*", "encoder.layers.#.self_attn.out_proj.*"),
    ("transformer.resblocks.#.mlp.c_fc.*", "encoder.layers.#.mlp.fc1.*"),
    ("transformer.resblocks.#.mlp.c_proj.*", "encoder.layers.#.mlp.fc2.*"),
    ("embeddings.token_embedding.weight", "embeddings.token_embedding.weight"),
    ("embeddings.position_embedding.weight", "embeddings.position_embedding.weight"),
    ("final_layer_norm.*", "final_layer_norm.*"),
    ("encoder.layers.#.layer_norm1.*", "encoder.layers.#.layer_norm1.*"),
    ("encoder.layers.#.layer_norm2.*", "encoder.layers.#.layer_norm2.*"),
    ("encoder.layers.#.self_attn.*", "encoder.layers.#.self_attn.*"),
    ("encoder.layers.#.mlp.*", "encoder.layers.#.mlp.*"),
    ("text_projection.weight", "text_projection.weight"),
];

/// A ControlNet's layers in addition to the UNet's down blocks (`cldm.py` of ControlNet): convolutions of the
/// conditioning picture, with a SiLU between any two that is counted too, and a convolution after
/// every block that is zero before training.
pub(super) const CONTROLNET: [(&str, &str); 10] = [
    ("input_hint_block.0.*", "controlnet_cond_embedding.conv_in.*"),
    ("input_hint_block.2.*", "controlnet_cond_embedding.blocks.0.*"),
    ("input_hint_block.4.*", "controlnet_cond_embedding.blocks.1.*"),
    ("input_hint_block.6.*", "controlnet_cond_embedding.blocks.2.*"),
    ("input_hint_block.8.*", "controlnet_cond_embedding.blocks.3.*"),
    ("input_hint_block.10.*", "controlnet_cond_embedding.blocks.4.*"),
    ("input_hint_block.12.*", "controlnet_cond_embedding.blocks.5.*"),
    ("input_hint_block.14.*", "controlnet_cond_embedding.conv_out.*"),
    ("zero_convs.#.0.*", "controlnet_down_blocks.#.*"),
    ("middle_block_out.0.*", "controlnet_mid_block.*"),
];
