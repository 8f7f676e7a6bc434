//! Random modules full of legacy exceptions, the same for the same seed.
//!
//! Each has some functions `i32 -> i32` that call only later ones, directly, through the table and through the host, so
//! that they end; loops and functions burn fuel. What happens on the way is mixed into a global, so that two runs with the
//! same result took the same way.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemorySection,
    MemoryType, Module, RefType, TableSection, TableType, TagKind, TagSection, TagType, TypeSection, ValType,
};

const I: ValType = ValType::I32;
const L: ValType = ValType::I64;

/// Signatures of blocks.
const BLOCKS: [(&[ValType], &[ValType]); 10] = [
    (&[], &[]),
    (&[], &[I]),
    (&[], &[L]),
    (&[], &[I, L]),
    (&[I], &[]),
    (&[I], &[I]),
    (&[L, I], &[I]),
    (&[I, I], &[L, I]),
    (&[], &[I, I, L]),
    (&[L], &[I, L]),
];

/// Values of the tags. The first ones are imported.
const TAGS: [&[ValType]; 5] = [&[I], &[I, L], &[], &[L], &[I]];
const IMPORTED_TAGS: u32 = 2;

/// Indices of function types.
const FUNCTION: u32 = 0;
const CALLBACK: u32 = 1;
const TRACE: u32 = 2;
const FIRST_TAG_TYPE: u32 = 3;
const FIRST_BLOCK_TYPE: u32 = FIRST_TAG_TYPE + TAGS.len() as u32;

/// Indices of functions.
const HOST_FUNCTION: u32 = 0;
const TRACE_FUNCTION: u32 = 1;
const FIRST_FUNCTION: u32 = 2;

/// Indices of globals.
const HISTORY: u32 = 0;
const FUEL: u32 = 1;

/// Locals of the random functions: the parameter and two more `i32`, then two `i64`.
const I32_LOCALS: u32 = 3;
const I64_LOCALS: u32 = 2;

/// xorshift64*
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % u64::from(bound.max(1))) as u32
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len() as u32) as usize).copied()
    }
}

/// The module of a seed.
pub(crate) fn module(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let functions = 3 + random.below(4);
    let mut module = Module::new();
    module
        .section(&types())
        .section(&imports())
        .section(&declarations(functions))
        .section(&table(functions))
        .section(&memory())
        .section(&tags())
        .section(&globals())
        .section(&exports(functions))
        .section(&elements(functions))
        .section(&code(&mut random, functions));
    module.finish()
}

fn types() -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function([I], [I]);
    types.ty().function([I, I], [I]);
    types.ty().function([L], []);
    for values in TAGS {
        types.ty().function(values.iter().copied(), []);
    }
    for (params, results) in BLOCKS {
        types.ty().function(params.iter().copied(), results.iter().copied());
    }
    types
}

fn tag(index: u32) -> TagType {
    TagType { kind: TagKind::Exception, func_type_idx: FIRST_TAG_TYPE + index }
}

fn imports() -> ImportSection {
    let mut imports = ImportSection::new();
    imports.import("env", "host", EntityType::Function(CALLBACK));
    for (index, values) in (0..IMPORTED_TAGS).zip(TAGS) {
        imports.import("env", &format!("t{index}/{}", values.len()), EntityType::Tag(tag(index)));
    }
    imports
}

fn declarations(functions: u32) -> FunctionSection {
    let mut section = FunctionSection::new();
    section.function(TRACE);
    for _ in 0..functions {
        section.function(FUNCTION);
    }
    section.function(CALLBACK);
    section
}

fn table(functions: u32) -> TableSection {
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: functions.into(),
        maximum: None,
        shared: false,
    });
    tables
}

fn memory() -> MemorySection {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    memories
}

fn tags() -> TagSection {
    let mut tags = TagSection::new();
    for index in IMPORTED_TAGS..TAGS.len() as u32 {
        tags.tag(tag(index));
    }
    tags
}

fn globals() -> GlobalSection {
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: L, mutable: true, shared: false }, &ConstExpr::i64_const(1));
    globals.global(GlobalType { val_type: I, mutable: true, shared: false }, &ConstExpr::i32_const(200));
    globals
}

fn exports(functions: u32) -> ExportSection {
    let mut exports = ExportSection::new();
    exports.export("run", ExportKind::Func, FIRST_FUNCTION);
    exports.export("cb", ExportKind::Func, FIRST_FUNCTION + functions);
    exports.export("history", ExportKind::Global, HISTORY);
    exports.export("fuel", ExportKind::Global, FUEL);
    for (index, values) in (0..).zip(TAGS).skip(IMPORTED_TAGS as usize) {
        exports.export(&format!("t{index}/{}", values.len()), ExportKind::Tag, index);
    }
    exports
}

fn elements(functions: u32) -> ElementSection {
    let all: Vec<u32> = (FIRST_FUNCTION..FIRST_FUNCTION + functions).collect();
    let mut elements = ElementSection::new();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(all.into()));
    elements
}

fn code(random: &mut Random, functions: u32) -> CodeSection {
    let mut code = CodeSection::new();
    let mut trace = Function::new([]);
    for instruction in [
        Instruction::GlobalGet(HISTORY),
        Instruction::I64Const(31),
        Instruction::I64Mul,
        Instruction::LocalGet(0),
        Instruction::I64Add,
        Instruction::GlobalSet(HISTORY),
        Instruction::End,
    ] {
        trace.instruction(&instruction);
    }
    code.function(&trace);
    for index in 0..functions {
        let mut body = Body {
            random,
            instructions: Vec::new(),
            labels: vec![Label { values: &[I], is_handler: false }],
            index,
            functions,
            budget: 60,
            mark: i64::from(index) * 1000,
        };
        body.burn_fuel();
        body.statements_and(&[I], 5);
        body.emit(Instruction::End);
        let mut function = Function::new([(I32_LOCALS - 1, I), (I64_LOCALS, L)]);
        for instruction in &body.instructions {
            function.instruction(instruction);
        }
        code.function(&function);
    }
    let mut callback = Function::new([]);
    for instruction in [
        Instruction::LocalGet(0),
        Instruction::LocalGet(1),
        Instruction::CallIndirect { type_index: FUNCTION, table_index: 0 },
        Instruction::End,
    ] {
        callback.instruction(&instruction);
    }
    code.function(&callback);
    code
}

#[derive(Clone, Copy)]
struct Label {
    /// What a branch to it takes.
    values: &'static [ValType],
    /// Whether a `rethrow` may name it.
    is_handler: bool,
}

struct Body<'r> {
    random: &'r mut Random,
    instructions: Vec<Instruction<'static>>,
    labels: Vec<Label>,
    index: u32,
    functions: u32,
    /// Statements left before only simple ones are made.
    budget: i32,
    /// Makes each trace different.
    mark: i64,
}

impl Body<'_> {
    fn emit(&mut self, instruction: Instruction<'static>) {
        self.instructions.push(instruction);
    }

    fn i32_value(&mut self) {
        match self.random.below(4) {
            0 => {
                let value = self.random.below(50) as i32;
                self.emit(Instruction::I32Const(value));
            }
            1 => {
                let local = self.random.below(I32_LOCALS);
                self.emit(Instruction::LocalGet(local));
            }
            2 => {
                let local = self.random.below(I32_LOCALS);
                self.mark += 7;
                self.emit(Instruction::LocalGet(local));
                self.emit(Instruction::I32Const(self.mark as i32));
                self.emit(Instruction::I32Add);
            }
            _ => {
                self.emit(Instruction::GlobalGet(HISTORY));
                self.emit(Instruction::I32WrapI64);
            }
        }
    }

    fn values(&mut self, types: &[ValType]) {
        for ty in types {
            if *ty == L && self.random.chance(50) {
                let local = self.random.below(I64_LOCALS);
                self.emit(Instruction::LocalGet(I32_LOCALS + local));
                continue;
            }
            self.i32_value();
            if *ty == L {
                self.emit(Instruction::I64ExtendI32S);
            }
        }
    }

    /// Takes values from the stack, mostly into the history.
    fn consume(&mut self, types: &[ValType]) {
        for ty in types.iter().rev() {
            match (*ty == I, self.random.below(3)) {
                (true, 0) => {
                    let local = 1 + self.random.below(I32_LOCALS - 1);
                    self.emit(Instruction::LocalSet(local));
                }
                (false, 0) => {
                    let local = I32_LOCALS + self.random.below(I64_LOCALS);
                    self.emit(Instruction::LocalSet(local));
                }
                (true, _) => {
                    self.emit(Instruction::I64ExtendI32U);
                    self.emit(Instruction::Call(TRACE_FUNCTION));
                }
                (false, _) => self.emit(Instruction::Call(TRACE_FUNCTION)),
            }
        }
    }

    fn condition(&mut self) {
        self.i32_value();
        let divisor = self.random.choose(&[2, 3, 4, 6, 8]).unwrap_or(2);
        self.emit(Instruction::I32Const(divisor));
        self.emit(Instruction::I32RemU);
        self.emit(Instruction::I32Eqz);
    }

    fn trace(&mut self) {
        self.mark += 1;
        self.emit(Instruction::I64Const(self.mark));
        self.emit(Instruction::Call(TRACE_FUNCTION));
    }

    fn burn_fuel(&mut self) {
        for instruction in [
            Instruction::GlobalGet(FUEL),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::GlobalSet(FUEL),
            Instruction::GlobalGet(FUEL),
            Instruction::I32Const(0),
            Instruction::I32LtS,
            Instruction::If(BlockType::Empty),
            Instruction::I32Const(-1),
            Instruction::Return,
            Instruction::End,
        ] {
            self.emit(instruction);
        }
    }

    fn random_label(&mut self) -> (u32, &'static [ValType]) {
        let depth = self.random.below(self.labels.len() as u32);
        (depth, self.labels.iter().nth_back(depth as usize).map_or(&[], |label| label.values))
    }

    /// Depths of the labels that satisfy `wanted`.
    fn depths(&self, wanted: impl Fn(&Label) -> bool) -> Vec<u32> {
        (0..)
            .zip(self.labels.iter().rev())
            .filter(|(_, label)| wanted(label))
            .map(|(depth, _)| depth)
            .collect()
    }

    fn within(&mut self, values: &'static [ValType], inside: impl FnOnce(&mut Self)) {
        self.labels.push(Label { values, is_handler: false });
        inside(self);
        self.labels.pop();
    }

    /// Statements that leave these values, or never end.
    fn statements_and(&mut self, results: &[ValType], depth: u32) {
        for _ in 0..1 + self.random.below(4) {
            self.statement(depth);
        }
        if self.random.chance(15) {
            self.jump();
            if self.random.chance(50) {
                return;
            }
        }
        self.values(results);
    }

    /// Leaves this place for good.
    fn jump(&mut self) {
        match self.random.below(8) {
            0..=2 => {
                let (depth, values) = self.random_label();
                self.values(values);
                self.emit(Instruction::Br(depth));
            }
            3 => self.branch_table(),
            4 | 5 => self.rethrow(),
            6 => self.throw(),
            _ => {
                self.i32_value();
                self.emit(Instruction::Return);
            }
        }
    }

    fn branch_table(&mut self) {
        let (default, values) = self.random_label();
        let same = self.depths(|label| label.values == values);
        let count = 1 + self.random.below(4);
        let targets: Vec<u32> = (0..count).filter_map(|_| self.random.choose(&same)).collect();
        self.values(values);
        self.i32_value();
        self.emit(Instruction::I32Const(count as i32 + 1));
        self.emit(Instruction::I32RemU);
        self.emit(Instruction::BrTable(targets.into(), default));
    }

    fn throw(&mut self) {
        let tag = self.random.below(TAGS.len() as u32);
        self.values(tag_values(tag));
        self.emit(Instruction::Throw(tag));
    }

    /// Throws again what a handler around caught, or something new if there is none.
    fn rethrow(&mut self) {
        let handlers = self.depths(|label| label.is_handler);
        match self.random.choose(&handlers) {
            Some(depth) => self.emit(Instruction::Rethrow(depth)),
            None => self.throw(),
        }
    }

    /// Within a handler: throws, catches that, and then may rethrow it or what the handlers around caught.
    fn catch_while_handling(&mut self) {
        self.emit(Instruction::Try(BlockType::Empty));
        self.within(&[], |body| {
            body.throw();
            body.emit(Instruction::CatchAll);
            body.enter_handler();
            body.trace();
            body.condition();
            body.emit(Instruction::If(BlockType::Empty));
            body.within(&[], Self::rethrow);
            body.emit(Instruction::End);
            // Its own, so that what a rethrow means depends on the label even if the one above names another.
            body.condition();
            body.emit(Instruction::If(BlockType::Empty));
            body.emit(Instruction::Rethrow(1));
            body.emit(Instruction::End);
        });
        self.emit(Instruction::End);
    }

    fn statement(&mut self, depth: u32) {
        self.budget -= 1;
        let simple = depth == 0 || self.budget < 0;
        match self.random.below(if simple { 10 } else { 34 }) {
            0..=2 if self.labels.iter().any(|label| label.is_handler) => self.catch_while_handling(),
            0..=2 => self.trace(),
            3 => {
                self.i32_value();
                let local = 1 + self.random.below(I32_LOCALS - 1);
                self.emit(Instruction::LocalSet(local));
            }
            4 => {
                self.condition();
                self.emit(Instruction::If(BlockType::Empty));
                self.within(&[], Self::jump);
                self.emit(Instruction::End);
            }
            5 => {
                let (target, values) = self.random_label();
                self.values(values);
                self.condition();
                self.emit(Instruction::BrIf(target));
                self.consume(values);
            }
            6..=8 => self.call(),
            9 if self.random.chance(4) => {
                self.condition();
                self.emit(Instruction::If(BlockType::Empty));
                self.emit(Instruction::Unreachable);
                self.emit(Instruction::End);
            }
            9 => self.trace(),
            kind => {
                let signature = self.random.below(BLOCKS.len() as u32);
                let (params, results) = BLOCKS.get(signature as usize).copied().unwrap_or_default();
                let ty = block_type(signature, params, results);
                self.values(params);
                match kind {
                    10..=13 => self.block(ty, params, results, depth - 1),
                    14..=25 => self.catching(ty, params, results, depth - 1),
                    _ => self.delegating(ty, params, results, depth - 1),
                }
                self.consume(results);
            }
        }
    }

    fn call(&mut self) {
        let next = self.index + 1;
        if next >= self.functions {
            self.condition();
            self.emit(Instruction::If(BlockType::Empty));
            self.throw();
            self.emit(Instruction::End);
            return;
        }
        let callee = next + self.random.below(self.functions - next);
        self.i32_value();
        match self.random.below(4) {
            0 => {
                self.emit(Instruction::I32Const(callee as i32));
                self.emit(Instruction::CallIndirect { type_index: FUNCTION, table_index: 0 });
            }
            1 => {
                self.emit(Instruction::I32Const(callee as i32));
                self.emit(Instruction::Call(HOST_FUNCTION));
            }
            _ => self.emit(Instruction::Call(FIRST_FUNCTION + callee)),
        }
        self.consume(&[I]);
    }

    fn block(&mut self, ty: BlockType, params: &'static [ValType], results: &'static [ValType], depth: u32) {
        match self.random.below(3) {
            0 => {
                self.emit(Instruction::Block(ty));
                self.within(results, |body| {
                    body.consume(params);
                    body.statements_and(results, depth);
                });
            }
            1 => {
                self.emit(Instruction::Loop(ty));
                self.within(params, |body| {
                    body.burn_fuel();
                    body.consume(params);
                    body.statements_and(results, depth);
                });
            }
            _ => {
                self.condition();
                self.emit(Instruction::If(ty));
                self.within(results, |body| {
                    body.consume(params);
                    body.statements_and(results, depth);
                    body.emit(Instruction::Else);
                    body.consume(params);
                    body.statements_and(results, depth);
                });
            }
        }
        self.emit(Instruction::End);
    }

    fn catching(
        &mut self,
        ty: BlockType,
        params: &'static [ValType],
        results: &'static [ValType],
        depth: u32,
    ) {
        self.emit(Instruction::Try(ty));
        self.within(results, |body| {
            body.consume(params);
            body.statements_and(results, depth);
            for _ in 0..body.random.below(4) {
                let tag = body.random.below(TAGS.len() as u32);
                body.emit(Instruction::Catch(tag));
                body.enter_handler();
                body.consume(tag_values(tag));
                body.statements_and(results, depth);
            }
            if body.random.chance(50) {
                body.emit(Instruction::CatchAll);
                body.enter_handler();
                body.statements_and(results, depth);
            }
        });
        self.emit(Instruction::End);
    }

    fn enter_handler(&mut self) {
        if let Some(label) = self.labels.last_mut() {
            label.is_handler = true;
        }
    }

    fn delegating(
        &mut self,
        ty: BlockType,
        params: &'static [ValType],
        results: &'static [ValType],
        depth: u32,
    ) {
        self.emit(Instruction::Try(ty));
        self.within(results, |body| {
            body.consume(params);
            body.statements_and(results, depth);
        });
        let target = self.random.below(self.labels.len() as u32);
        self.emit(Instruction::Delegate(target));
    }
}

fn tag_values(tag: u32) -> &'static [ValType] {
    TAGS.get(tag as usize).copied().unwrap_or_default()
}

fn block_type(signature: u32, params: &[ValType], results: &[ValType]) -> BlockType {
    match (params, results) {
        ([], []) => BlockType::Empty,
        ([], [result]) => BlockType::Result(*result),
        _ => BlockType::FunctionType(FIRST_BLOCK_TYPE + signature),
    }
}
