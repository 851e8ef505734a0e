//! The rooms of the crate that are not part of its public interface, for its own tests, benches,
//! examples and command. Nothing here is stable.

macro_rules! rooms {
    ($($room:ident),* $(,)?) => {
        $(
            #[allow(missing_docs)]
            pub mod $room {
                pub use crate::$room::*;
            }
        )*
    };
}

rooms! {
    components,
    families,
    graph,
    kernels,
    logging,
    lora,
    memory,
    models,
    prompt,
    random,
    schedulers,
    shape,
    tokenizer,
    weights,
}
