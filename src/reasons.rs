//! Enums whose values are phrases for a reader: why a stream was not read, which
//! limit was reached.

/// Makes such an enum out of a table of variants and phrases.
macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize,
            serde::Deserialize,
        )]
        pub enum $name {
            $(#[doc = concat!("\"", $text, "\".")] $variant,)+
        }

        impl $name {
            /// The phrase, as reports have it.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}
