import { testCarrier } from "../testing/carrier_suite.ts";

testCarrier("tls");
