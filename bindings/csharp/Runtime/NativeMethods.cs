// NativeMethods.cs: rtvoice.h as C# sees it; one line per function of the C interface.
using System;
using System.Runtime.InteropServices;

namespace Rtvoice
{
    /// <summary>rtv_config, field by field.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeConfig
    {
        public uint StructSize;
        public uint SampleRate;
        public uint MaxFrame;
        public uint Channels;
        public uint Block;
        public uint Resampler;
        public ulong Seed;
        public float FadeMs;
        public uint Schedule;
        public uint Overload;
    }

    /// <summary>rtv_stats, field by field.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeStats
    {
        public uint StructSize;
        public uint Tier;
        public ulong Frames;
        public ulong Calls;
        public ulong Overruns;
        public ulong Nonfinite;
        public float UsP50, UsP90, UsP99, UsP999, UsMax;
        public float Load;
        public float LatencyModelMs, LatencyResamplerMs, LatencyBufferingMs;
        public ulong MemoryWeights, MemoryState, MemoryScratch;
        public ulong TierChanges;
    }

    /// <summary>A model of the C interface; given back when nobody holds it any more.</summary>
    internal sealed class ModelHandle : SafeHandle
    {
        public ModelHandle() : base(IntPtr.Zero, true) { }
        public override bool IsInvalid { get { return handle == IntPtr.Zero; } }
        protected override bool ReleaseHandle()
        {
            NativeMethods.rtv_model_close(handle);
            return true;
        }
    }

    /// <summary>
    /// An engine of the C interface. Every call holds the handle while it runs, so that an engine disposed by one thread
    /// ends only when the audio thread's call has returned.
    /// </summary>
    internal sealed class EngineHandle : SafeHandle
    {
        public EngineHandle() : base(IntPtr.Zero, true) { }
        public override bool IsInvalid { get { return handle == IntPtr.Zero; } }
        protected override bool ReleaseHandle()
        {
            NativeMethods.rtv_engine_destroy(handle);
            return true;
        }
    }

    internal static class NativeMethods
    {
#if UNITY_IOS && !UNITY_EDITOR
        private const string Library = "__Internal"; // linked statically there
#else
        private const string Library = "rtvoice"; // librtvoice.so, rtvoice.dll, librtvoice.dylib
#endif
        private const CallingConvention C = CallingConvention.Cdecl;

        [DllImport(Library, CallingConvention = C)] internal static extern uint rtv_version();
        [DllImport(Library, CallingConvention = C)] internal static extern IntPtr rtv_isa();
        [DllImport(Library, CallingConvention = C)] internal static extern IntPtr rtv_last_error();
        [DllImport(Library, CallingConvention = C)] internal static extern IntPtr rtv_status_string(Status status);

        // Paths and names go as UTF-8 bytes with a zero behind them: a string's marshalling would take the system's code page.
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status rtv_model_open(byte[] path, out ModelHandle model);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status rtv_model_open_memory(byte[] data, UIntPtr size, out ModelHandle model);
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_model_close(IntPtr model);
        [DllImport(Library, CallingConvention = C)] internal static extern IntPtr rtv_model_info(ModelHandle model);

        [DllImport(Library, CallingConvention = C)]
        internal static extern Status rtv_engine_create(ModelHandle model, ref NativeConfig config, out EngineHandle engine);
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_engine_destroy(IntPtr engine);

        // A reference to a sample pins its array for the call: nothing is copied, nothing allocated, no unsafe code.
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status rtv_engine_process(EngineHandle engine, ref float input, ref float output, uint frames);
        [DllImport(Library, CallingConvention = C)] internal static extern uint rtv_engine_latency(EngineHandle engine);
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_engine_reset(EngineHandle engine);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status rtv_engine_set(EngineHandle engine, byte[] name, ref float values, uint count);
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_engine_bypass(EngineHandle engine, int on);
        [DllImport(Library, CallingConvention = C)]
        internal static extern uint rtv_engine_output(EngineHandle engine, byte[] name, ref float values, uint capacity);
        [DllImport(Library, CallingConvention = C)] internal static extern Status rtv_engine_swap(EngineHandle engine, ModelHandle model);
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_engine_stats(EngineHandle engine, ref NativeStats stats);

        [DllImport(Library, CallingConvention = C)] internal static extern Status rtv_engine_log(EngineHandle engine, byte[] path);

        // Only for checks of the structs' layout: into a buffer larger than any of them.
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_config_init(byte[] config);
        [DllImport(Library, CallingConvention = C)] internal static extern void rtv_stats_init(byte[] stats);
    }
}
