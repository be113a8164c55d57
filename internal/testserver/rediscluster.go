package testserver

import (
	"fmt"
	"net"
	"strconv"
)

const (
	masters = 3
	slots   = 16384
)

// RedisCluster is a running cluster of three masters with a replica each.
type RedisCluster struct {
	// Masters are the nodes that have slots.
	Masters []*Redis
	// Replicas are those that follow: Replicas[i] follows Masters[i].
	Replicas []*Redis
	// Password is the default user's, on all nodes.
	Password string
}

// StartRedisCluster runs one.
func StartRedisCluster() (*RedisCluster, error) {
	c := &RedisCluster{Password: newPassword()}
	for i := range 2 * masters {
		node, err := startClusterNode(c.Password)
		if err != nil {
			c.Stop()
			return nil, err
		}
		if i < masters {
			c.Masters = append(c.Masters, node)
		} else {
			c.Replicas = append(c.Replicas, node)
		}
	}
	if err := c.join(); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func startClusterNode(password string) (*Redis, error) {
	return onFreePort(func(bus int) (*Redis, error) {
		node, err := startRedis(password, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus))
		if err == nil {
			node.bus = bus
		}
		return node, err
	})
}

// Addresses are those of all nodes.
func (c *RedisCluster) Addresses() []string {
	var all []string
	for _, node := range c.nodes() {
		all = append(all, node.Address)
	}
	return all
}

// Stop ends all nodes.
func (c *RedisCluster) Stop() {
	for _, node := range c.nodes() {
		node.Stop()
	}
}

func (c *RedisCluster) nodes() []*Redis {
	return append(append([]*Redis(nil), c.Masters...), c.Replicas...)
}

// join makes one cluster of the nodes.
func (c *RedisCluster) join() error {
	for i, master := range c.Masters {
		first, last := i*slots/masters, (i+1)*slots/masters-1
		if _, err := master.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return err
		}
		if _, err := master.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	for _, node := range c.nodes()[1:] {
		if err := node.meet(c.Masters[0]); err != nil {
			return err
		}
	}
	for _, node := range c.nodes() {
		if err := node.waitFor(fmt.Sprintf("cluster_state:ok(.|\n)*cluster_known_nodes:%d", 2*masters), "CLUSTER", "INFO"); err != nil {
			return err
		}
	}
	for i, replica := range c.Replicas {
		if err := replica.follow(c.Masters[i]); err != nil {
			return err
		}
	}
	for _, node := range c.nodes() { // when all know who follows whom
		if err := node.waitFor("(slave(.|\n)*){3}", "CLUSTER", "NODES"); err != nil {
			return err
		}
	}
	return nil
}

func (r *Redis) meet(other *Redis) error {
	host, port, err := net.SplitHostPort(other.Address)
	if err != nil {
		return err
	}
	_, err = r.Do("CLUSTER", "MEET", host, port, strconv.Itoa(other.bus))
	return err
}

func (r *Redis) follow(master *Redis) error {
	id, err := master.Do("CLUSTER", "MYID")
	if err != nil {
		return err
	}
	if _, err := r.Do("CLUSTER", "REPLICATE", id); err != nil {
		return err
	}
	return r.waitFor("master_link_status:up", "INFO", "replication")
}
