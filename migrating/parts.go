package migrating

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/http"
	"time"

	gometrics "github.com/hashicorp/go-metrics"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

// parts are the parts of the service that a move to tacho does not change.
type parts struct {
	db   *sql.DB
	pool *pgxpool.Pool

	// routes has the handlers of the public server, by pattern of http.ServeMux.
	routes map[string]http.HandlerFunc
}

// A service is a version of the program, ready to work.
type service struct {
	metrics       http.Handler // GET /metrics
	public, admin http.Handler
	server        *grpc.Server
	dial          []grpc.DialOption
	raft          *gometrics.Metrics // of a library
	work          func()             // changes the program's own metrics
	stop          func()
}

func newParts() (*parts, error) {
	pool, err := pgxpool.New(context.Background(), "postgres://user@127.0.0.1:1/orders?pool_max_conns=7")
	if err != nil {
		return nil, err
	}
	p := &parts{db: sql.OpenDB(connector{}), pool: pool, routes: newRoutes()}
	p.db.SetMaxOpenConns(1)
	return p, nil
}

func newRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /orders/{id}": func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("id") == "404" {
				http.Error(w, "no such order", http.StatusNotFound)
				return
			}
			w.Write([]byte("order " + r.PathValue("id")))
		},
		"POST /orders": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated) },
	}
}

func (p *parts) close() {
	p.pool.Close()
	p.db.Close()
}

// newAuditLibrary is a library with metrics in the default registry of client_golang.
func newAuditLibrary() (write func()) {
	writes := promauto.NewCounter(prometheus.CounterOpts{Name: "audit_writes_total", Help: "Lines of the audit log."})
	return writes.Inc
}

// newRaft has the metrics that hashicorp/raft records with go-metrics.
func newRaft(sink gometrics.MetricSink) *gometrics.Metrics {
	config := gometrics.DefaultConfig("")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	raft, _ := gometrics.New(config, sink) // without an error for any configuration
	return raft
}

// traceKey is the key of the trace's ID in a context.
type traceKey struct{}

func traceID(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// testService is the gRPC service.
type testService struct {
	pb.UnimplementedTestServiceServer
}

func (testService) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) { return &pb.Empty{}, nil }

func (testService) StreamingOutputCall(_ *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
	for range 3 {
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return nil
}

// connector makes connections of database/sql that can be opened and closed.
type connector struct{}

type conn struct{}

func (connector) Connect(context.Context) (driver.Conn, error) { return conn{}, nil }
func (connector) Driver() driver.Driver                        { return nil }

var errNoQueries = errors.New("migrating: no queries")

func (conn) Prepare(string) (driver.Stmt, error) { return nil, errNoQueries }
func (conn) Close() error                        { return nil }
func (conn) Begin() (driver.Tx, error)           { return nil, errNoQueries }

// measured is the time of a value that has a timestamp.
var measured = time.UnixMilli(1_700_000_000_000)
