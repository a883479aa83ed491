//! The C interface as the Rust sources define it, read with `syn` and printed as C or as imports.

use std::fmt::Write;
use std::fs;

use syn::{Expr, FnArg, Item, Lit, Pat, ReturnType, UnOp, Visibility};

use crate::tools::root;

/// Every source file that the header is generated from.
const SOURCES: [&str; 5] = [
    "src/abi.rs",
    "src/capi/guard.rs",
    "src/capi/handle.rs",
    "src/capi/lock.rs",
    "src/capi/journal.rs",
];

#[derive(Debug, Default)]
pub struct Interface {
    constants: Vec<(String, Type, i64)>,
    opaque: Vec<String>,
    structs: Vec<(String, Vec<Variable>)>,
    functions: Vec<Function>,
}

#[derive(Debug)]
struct Function {
    name: String,
    parameters: Vec<Variable>,
    result: Option<Type>,
}

#[derive(Debug)]
struct Variable {
    name: String,
    ty: Type,
}

#[derive(Debug)]
enum Type {
    Named(String),
    Pointer { mutable: bool, to: Box<Type> },
    Array { of: Box<Type>, len: i64 },
}

// ---------------------------------------------------------------------------------------------------------- reading

impl Interface {
    pub fn read() -> Self {
        let mut interface = Interface::default();
        for source in SOURCES {
            let path = root().join(source);
            let code = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let file = syn::parse_file(&code).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            file.items.iter().for_each(|item| interface.add(item));
        }
        interface
    }

    pub fn function_names(&self) -> impl Iterator<Item = String> + '_ {
        self.functions.iter().map(|function| function.name.clone())
    }

    fn add(&mut self, item: &Item) {
        match item {
            Item::Const(item) if is_public(&item.vis) => {
                self.constants
                    .push((item.ident.to_string(), Type::read(&item.ty), integer(&item.expr)));
            }
            Item::Struct(item) if is_public(&item.vis) && item.attrs.iter().any(|a| a.path().is_ident("repr")) => {
                let fields = item.fields.iter().map(|field| Variable {
                    name: field.ident.as_ref().expect("fields have names").to_string(),
                    ty: Type::read(&field.ty),
                });
                self.structs.push((item.ident.to_string(), fields.collect()));
            }
            Item::Struct(item) if is_public(&item.vis) => self.opaque.push(item.ident.to_string()),
            Item::Fn(item) if item.sig.abi.is_some() => self.functions.push(Function::read(&item.sig)),
            _ => {}
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

impl Function {
    fn read(signature: &syn::Signature) -> Self {
        let parameters = signature.inputs.iter().map(|input| match input {
            FnArg::Typed(input) => match &*input.pat {
                Pat::Ident(pattern) => Variable {
                    name: pattern.ident.to_string(),
                    ty: Type::read(&input.ty),
                },
                _ => panic!("{}: a parameter without a name", signature.ident),
            },
            FnArg::Receiver(_) => panic!("{}: a method", signature.ident),
        });
        Function {
            name: signature.ident.to_string(),
            parameters: parameters.collect(),
            result: match &signature.output {
                ReturnType::Default => None,
                ReturnType::Type(_, ty) => Some(Type::read(ty)),
            },
        }
    }
}

impl Type {
    fn read(ty: &syn::Type) -> Self {
        match ty {
            syn::Type::Path(path) => {
                let last = path.path.segments.last().expect("a path has segments");
                Type::Named(last.ident.to_string())
            }
            syn::Type::Ptr(pointer) => Type::Pointer {
                mutable: pointer.mutability.is_some(),
                to: Box::new(Type::read(&pointer.elem)),
            },
            syn::Type::Array(array) => Type::Array {
                of: Box::new(Type::read(&array.elem)),
                len: integer(&array.len),
            },
            _ => panic!("a type that the C interface has not used so far"),
        }
    }
}

fn integer(expr: &Expr) -> i64 {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(value) => value.base10_parse().expect("it fits an i64"),
            _ => panic!("a constant that is not an integer"),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => -integer(&unary.expr),
        _ => panic!("a constant that is not a plain number"),
    }
}

// ------------------------------------------------------------------------------------------------------------ as C

impl Interface {
    /// The header, followed by a declaration of each function as Rust has it: a C compiler rejects any difference.
    pub fn as_c_prototypes(&self) -> String {
        let mut code = "#include <jlock.h>\n".to_owned();
        for function in &self.functions {
            let result = function.result.as_ref().map_or("void ".to_owned(), Type::in_c);
            let parameters: Vec<String> = function
                .parameters
                .iter()
                .map(|p| format!("{}{}", p.ty.in_c(), p.name))
                .collect();
            let parameters = if parameters.is_empty() {
                "void".to_owned()
            } else {
                parameters.join(", ")
            };
            code += &format!("{result}{}({parameters});\n", function.name);
        }
        code
    }
}

impl Type {
    /// The C type, up to where a name follows.
    fn in_c(&self) -> String {
        match self {
            Type::Named(name) => {
                let name = match name.as_str() {
                    "c_int" => "int",
                    "c_char" => "char",
                    "usize" => "size_t",
                    "f64" => "double",
                    "u32" => "uint32_t",
                    "i32" => "int32_t",
                    "i64" => "int64_t",
                    own if own.starts_with("jlock") => return format!("struct {own} "),
                    _ => panic!("{name}: what is it called in C?"),
                };
                format!("{name} ")
            }
            Type::Pointer { mutable: true, to } => format!("{}*", to.in_c()),
            // `const` goes to the right of the type: that is correct for every pointer, also for a pointer to a
            // pointer.
            Type::Pointer { mutable: false, to } => format!("{}const *", to.in_c()),
            Type::Array { .. } => panic!("an array as a parameter"),
        }
    }
}

// ------------------------------------------------------------------------------------------------------- as imports

impl Interface {
    /// The same interface as a Rust program would import it, in the form that `ctest` understands.
    pub fn as_rust_imports(&self) -> String {
        let mut code = "use std::ffi::{c_char, c_int};\n".to_owned();
        for (name, ty, value) in &self.constants {
            code += &format!("pub const {name}: {} = {value};\n", ty.in_rust());
        }
        for name in &self.opaque {
            code += &format!("enum {name} {{}}\n");
        }
        for (name, fields) in &self.structs {
            code += &format!(
                "#[repr(C)]\n#[derive(Clone, Copy)]\npub struct {name} {{ {} }}\n",
                in_rust(fields, "pub ")
            );
        }
        code += "extern \"C\" {\n";
        for function in &self.functions {
            let result = function
                .result
                .as_ref()
                .map_or(String::new(), |ty| format!(" -> {}", ty.in_rust()));
            writeln!(
                code,
                "fn {}({}){result};",
                function.name,
                in_rust(&function.parameters, "")
            )
            .expect("a String takes everything");
        }
        code + "}\n"
    }
}

fn in_rust(variables: &[Variable], visibility: &str) -> String {
    let each = variables
        .iter()
        .map(|v| format!("{visibility}{}: {}", v.name, v.ty.in_rust()));
    each.collect::<Vec<_>>().join(", ")
}

impl Type {
    fn in_rust(&self) -> String {
        match self {
            Type::Named(name) => name.clone(),
            Type::Pointer { mutable, to } => format!("*{} {}", if *mutable { "mut" } else { "const" }, to.in_rust()),
            Type::Array { of, len } => format!("[{}; {len}]", of.in_rust()),
        }
    }
}
