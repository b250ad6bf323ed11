//go:build unix

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// lockChange begins the change of a mutant without a lock. Only the race detector notices
// most of these mutants, so they run with -race.
const lockChange = "without the lock "

// A mutant is one change of one file.
type mutant struct {
	dir, file string // relative to the root of the module
	line      int
	source    string // the line before the change
	change    string // what the change is, on one line
	edits     []edit
}

// An edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// key identifies a mutant in the file of equivalent mutants. A key has no line number,
// because other changes of the file move lines.
func (m *mutant) key() string { return m.file + "\t" + m.source + "\t" + m.change }

// apply returns the source of the file with the change.
func (m *mutant) apply(src []byte) []byte {
	edits := slices.Clone(m.edits)
	slices.SortFunc(edits, func(a, b edit) int { return b.start - a.start })
	out := slices.Clone(src)
	for _, e := range edits {
		out = slices.Concat(out[:e.start], []byte(e.text), out[e.end:])
	}
	return out
}

var swapped = map[token.Token]token.Token{
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.AND: token.OR, token.OR: token.AND, token.SHL: token.SHR, token.SHR: token.SHL,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN,
	token.INC: token.DEC, token.DEC: token.INC,
}

// A finder collects the mutants of a file.
type finder struct {
	name  string
	src   []byte
	fset  *token.FileSet
	found []*mutant
}

// find returns the mutants of a Go file. name is the path from the root of the module.
func find(name string, src []byte) ([]*mutant, error) {
	f := &finder{name: name, src: src, fset: token.NewFileSet()}
	file, err := parser.ParseFile(f.fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		f.node(n)
		return true
	})
	return f.found, nil
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }
func (f *finder) text(n ast.Node) string { return string(f.src[f.offset(n.Pos()):f.offset(n.End())]) }
func (f *finder) replace(n ast.Node, text string) edit {
	return edit{f.offset(n.Pos()), f.offset(n.End()), text}
}

// add adds a mutant at a position.
func (f *finder) add(at token.Pos, change string, edits ...edit) {
	p := f.fset.Position(at)
	start := bytes.LastIndexByte(f.src[:p.Offset], '\n') + 1
	end := len(f.src)
	if i := bytes.IndexByte(f.src[start:], '\n'); i >= 0 {
		end = start + i
	}
	f.found = append(f.found, &mutant{
		file: f.name, line: p.Line, edits: edits,
		source: strings.TrimSpace(string(f.src[start:end])),
		change: strings.Join(strings.Fields(change), " "),
	})
}

// token adds a mutant that swaps an operator.
func (f *finder) token(at token.Pos, old token.Token) {
	if other, ok := swapped[old]; ok {
		start := f.offset(at)
		f.add(at, fmt.Sprintf("%s becomes %s", old, other), edit{start, start + len(old.String()), other.String()})
	}
}

func (f *finder) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		f.token(n.OpPos, n.Op)
		if n.Op == token.LAND || n.Op == token.LOR {
			f.add(n.OpPos, "without "+f.text(n.X), f.replace(n, "("+f.text(n.Y)+")"))
			f.add(n.OpPos, "without "+f.text(n.Y), f.replace(n, "("+f.text(n.X)+")"))
		}
	case *ast.CallExpr:
		if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "min" || name.Name == "max") {
			other := map[string]string{"min": "max", "max": "min"}[name.Name]
			f.add(n.Pos(), name.Name+" becomes "+other, f.replace(name, other))
		}
	case *ast.BasicLit:
		if v, err := strconv.ParseInt(n.Value, 0, 64); err == nil && n.Kind == token.INT {
			f.add(n.Pos(), n.Value+" becomes one more", f.replace(n, strconv.FormatInt(v+1, 10)))
			if v > 0 {
				f.add(n.Pos(), n.Value+" becomes one less", f.replace(n, strconv.FormatInt(v-1, 10)))
			}
		}
	case *ast.IfStmt:
		f.add(n.Cond.Pos(), "negated condition", f.replace(n.Cond, "!("+f.text(n.Cond)+")"))
	case *ast.ForStmt:
		if n.Cond != nil {
			f.add(n.Cond.Pos(), "no pass of the loop", f.replace(n.Cond, "false && ("+f.text(n.Cond)+")"))
		}
	case *ast.IncDecStmt:
		f.token(n.TokPos, n.Tok)
	case *ast.AssignStmt:
		f.token(n.TokPos, n.Tok)
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.CommClause:
		f.statements(n.Body)
	case *ast.FuncDecl:
		if n.Body != nil && len(n.Body.List) > 0 {
			f.function(n)
		}
	}
}

// statements adds a mutant without each statement that a program can do without.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				f.remove(s)
			}
		case *ast.BranchStmt, *ast.DeferStmt, *ast.IncDecStmt, *ast.SendStmt, *ast.GoStmt:
			f.remove(s)
		case *ast.ExprStmt:
			if _, lock := lockOf(s.X, "Lock", "RLock"); !lock { // a lock is removed with its unlock
				f.remove(s)
			}
		case *ast.ReturnStmt:
			if len(s.Results) == 0 {
				f.remove(s)
			}
		}
	}
}

func (f *finder) remove(s ast.Stmt) { f.add(s.Pos(), "without "+f.text(s), f.replace(s, "")) }

// lockOf returns the mutex of a call of one of the methods.
func lockOf(e ast.Expr, methods ...string) (mutex ast.Expr, ok bool) {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return nil, false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains(methods, sel.Sel.Name) {
		return nil, false
	}
	return sel.X, true
}

// function adds a mutant that returns zero values at once, and mutants without the locks.
func (f *finder) function(d *ast.FuncDecl) {
	var zero []string
	named := false
	if d.Type.Results != nil {
		for _, r := range d.Type.Results.List {
			named = named || len(r.Names) > 0
			zero = append(zero, "*new("+f.text(r.Type)+")")
		}
	}
	values := " " + strings.Join(zero, ", ")
	if named || len(zero) == 0 {
		values = ""
	}
	start := f.offset(d.Body.Lbrace) + 1
	f.add(d.Pos(), "returns at once", edit{start, start, " if true { return" + values + " };"})

	locks := map[string][]edit{}
	first := map[string]token.Pos{}
	var order []string
	ast.Inspect(d.Body, func(n ast.Node) bool {
		s, ok := n.(ast.Stmt)
		if !ok {
			return true
		}
		var call ast.Expr
		switch s := s.(type) {
		case *ast.ExprStmt:
			call = s.X
		case *ast.DeferStmt:
			call = s.Call
		}
		if call == nil {
			return true
		}
		if mutex, ok := lockOf(call, "Lock", "RLock", "Unlock", "RUnlock"); ok {
			name := f.text(mutex)
			if locks[name] == nil {
				first[name] = s.Pos()
				order = append(order, name)
			}
			locks[name] = append(locks[name], f.replace(s, ""))
		}
		return true
	})
	for _, name := range order {
		f.add(first[name], lockChange+name, locks[name]...)
	}
}
